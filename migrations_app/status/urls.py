"""Addresses of status pages. What follows the secret leads to the same rows."""

from __future__ import annotations

from django.urls import path

from migrations_app.status import by_mail, reconnect, views

app_name = "status"
urlpatterns = [
    path("back/", reconnect.back, name="back"),  # no secret: Google and Microsoft have to know this address
    path("confirm/<str:token>/", by_mail.confirm, name="confirm"),  # no secret is called so: they have a mark
    path("unsubscribe/<str:token>/", by_mail.unsubscribe, name="unsubscribe"),
    path("<str:secret>/", views.page, name="page"),
    path("<str:secret>/live/", views.live, name="live"),
    path("<str:secret>/tell/", views.tell, name="tell"),
    path("<str:secret>/subscribe/", views.subscribe, name="subscribe"),
    path("<str:secret>/connect/<int:number>/", reconnect.begin, name="connect"),
    path("<str:secret>/postpone/", views.postpone, name="postpone"),
    path("<str:secret>/move.json", views.data, name="data"),
    path("<str:secret>/move.ics", views.window, name="window"),
]
