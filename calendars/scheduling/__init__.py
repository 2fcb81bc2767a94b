"""Who is covered by which bot: pure decisions here, and one writer, `reconcile`."""
