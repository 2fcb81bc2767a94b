"""Every address of the staff pages, and the right that it takes. One without a row here fails `test_places.py`.

Acts on one object are in `tests/admin/acts.py`. A right is "app.codename"; STAFF is anybody who works here, SUPERUSER
nobody by a role, NOBODY nobody at all.
"""

from __future__ import annotations

STAFF, SUPERUSER, NOBODY = "staff", "superuser", "nobody"

# Of each model, what can be done on the pages that Django makes: v(iew), a(dd), c(hange), d(elete), each by the model's
# own right of that name.
MODELS = {
    "auth_group": "v",
    "auth_user": "vac",
    "calendars_apikey": "vacd",
    "calendars_apitoken": "va",
    "calendars_application": "vacd",
    "calendars_applicationsecret": "vacd",
    "calendars_assignment": "v",
    "calendars_auditentry": "v",
    "calendars_bot": "v",
    "calendars_botprofile": "vacd",
    "calendars_calendar": "v",
    "calendars_connection": "v",
    "calendars_customer": "vacd",
    "calendars_delivery": "v",
    "calendars_endpointlimit": "vacd",
    "calendars_event": "v",
    "calendars_handover": "vc",
    "calendars_idmapping": "v",
    "calendars_intent": "v",
    "calendars_oauthclient": "vacd",
    "calendars_providercall": "v",
    "calendars_recordingchoice": "vacd",
    "calendars_recordingpolicy": "vacd",
    "calendars_region": "vac",
    "calendars_relayed": "v",
    "calendars_webhookendpoint": "vacd",
    "calendars_webhookrefusal": "v",
    "calendars_webhooksecret": "vacd",
    "calendars_workspace": "vacd",
    "migrations_app_alert": "v",
    "migrations_app_alertchannel": "vacd",
    "migrations_app_approval": "v",
    "migrations_app_batch": "va",
    "migrations_app_finding": "v",
    "migrations_app_inquiry": "v",
    "migrations_app_item": "v",
    "migrations_app_mailtemplate": "vc",
    "migrations_app_message": "v",
    "migrations_app_rehearsal": "v",
    "migrations_app_reportkey": "va",
    "migrations_app_sharegroup": "v",
    "migrations_app_statuslink": "va",
}
# Pages that Django makes, but that are looked at by another right, and where nothing else can be done.
LOOKED_AT = {
    "axes_accessattempt": "auth.change_user",
    "django_q_failure": SUPERUSER,
    "django_q_ormq": SUPERUSER,
    "django_q_schedule": SUPERUSER,
    "django_q_success": SUPERUSER,
}
# All others.
PAGES = {
    "auth_user_password_change": "auth.change_user",
    "calendars_assignment_export_csv": "calendars.view_assignment",
    "calendars_assignment_export_xlsx": "calendars.view_assignment",
    "calendars_assignment_upcoming": "calendars.view_assignment",
    "calendars_auditentry_export_csv": "calendars.view_auditentry",
    "calendars_auditentry_export_xlsx": "calendars.view_auditentry",
    "calendars_providercall_export_csv": "calendars.view_providercall",
    "calendars_providercall_export_xlsx": "calendars.view_providercall",
    "migrations_app_batch_customers": "migrations_app.view_batch",
    "migrations_app_batch_cut_lines": "migrations_app.view_batch",
    "migrations_app_batch_live": "migrations_app.view_batch",
    "migrations_app_batch_presses": "migrations_app.view_batch",
    "migrations_app_batch_report": "migrations_app.view_batch",
    "migrations_app_batch_report_json": "migrations_app.view_batch",
    "migrations_app_batch_report_zip": "migrations_app.view_batch",
    "migrations_app_batch_verifier": "migrations_app.view_batch",
    "migrations_app_batchdraft_add": "migrations_app.add_batch",
    "migrations_app_batchdraft_calendars": "migrations_app.view_batch",
    "migrations_app_batchdraft_change": "migrations_app.view_batch",
    "migrations_app_batchdraft_changelist": "migrations_app.view_batch",
    "migrations_app_batchdraft_checks": "migrations_app.view_batch",
    "migrations_app_batchdraft_cut_line": "migrations_app.view_batch",
    "migrations_app_batchdraft_delete": NOBODY,
    "migrations_app_batchdraft_history": "migrations_app.view_batch",
    "migrations_app_batchdraft_lines": "migrations_app.view_batch",
    "migrations_app_batchdraft_problems": "migrations_app.add_batch",
    "migrations_app_batchdraft_route": "migrations_app.view_batch",
    "migrations_app_batchdraft_summary": "migrations_app.view_batch",
    "migrations_app_finding_export_csv": "migrations_app.view_finding",
    "migrations_app_finding_export_xlsx": "migrations_app.view_finding",
    "migrations_app_item_export_csv": "migrations_app.view_item",
    "migrations_app_item_export_xlsx": "migrations_app.view_item",
    "migrations_app_item_timeline": "migrations_app.view_item",
    "migrations_app_mailtemplate_preview": "migrations_app.view_mailtemplate",
    "migrations_app_rehearsal_json": "migrations_app.view_rehearsal",
    "dashboard-live": STAFF,
    "help": STAFF,
    "index": STAFF,
    "password_change": STAFF,
    "password_change_done": STAFF,
    "jsi18n": STAFF,
    "search": STAFF,
    "staff:factor": STAFF,
}
# They need a question of their own, or are no pages: each says what it refuses where it is tested.
APART = frozenset({"login", "logout", "autocomplete", "view_on_site", "app_list", "staff:codes"})

# Acts on several rows of a list.
LIST_ACTIONS = {
    "calendars_delivery_try_these_again": "calendars.change_delivery",
    "calendars_relayed_send_these_again": "calendars.change_relayed",
    "migrations_app_finding_waive_chosen": "migrations_app.change_finding",
    "migrations_app_item_retry_failed": "migrations_app.change_batch",
    "migrations_app_item_skip": "migrations_app.change_batch",
}
