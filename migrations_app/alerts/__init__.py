"""Alerts for staff in their chat tool: facts found from rows, gathered, and posted to an incoming webhook."""
