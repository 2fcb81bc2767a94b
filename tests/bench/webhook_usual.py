"""The third side of the webhook bench: as one usually writes it with DRF. Nested serializers, ORM, all middleware."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()

from django.urls import path  # noqa: E402
from rest_framework import serializers  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402
from standardwebhooks import Webhook  # noqa: E402

from calendars.models import Delivery  # noqa: E402


class DataSerializer(serializers.Serializer[Any]):
    """What a webhook of the calendar says."""

    calendar_id = serializers.CharField()
    last_updated_ts = serializers.DateTimeField()


class WebhookSerializer(serializers.Serializer[Any]):
    """A webhook."""

    event = serializers.ChoiceField(["calendar.sync_events", "calendar.update"])
    data = DataSerializer()


class WebhookView(APIView):
    """Checks, parses, stores and answers."""

    permission_classes: list[Any] = []

    def post(self, request: Any) -> Response:
        """Take one in."""
        body = request.body
        Webhook(os.environ["BENCH_SECRET"]).verify(body, request.headers)
        serializer = WebhookSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        Delivery.objects.create(
            workspace_id=int(os.environ["BENCH_WORKSPACE"]),
            endpoint_id=int(os.environ["BENCH_ENDPOINT"]),
            delivery_id=request.headers["webhook-id"],
            received_at=datetime.now(UTC),
            sent_at=datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), UTC),
            body=body,
            event=serializer.validated_data["event"],
            subject=serializer.validated_data["data"]["calendar_id"],
        )
        return Response({})


urlpatterns = [path("usual/", WebhookView.as_view())]
