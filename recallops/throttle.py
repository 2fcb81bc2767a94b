"""So many requests a minute for each row of a table, a tenth of them at once: GCRA in the row's column `tat`.

The row is shared by all processes and machines, and its clock is the database's, as with the calls to providers.
"""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.db.models import Model

from recallops import clock

_SPEND = """
UPDATE {table} SET tat = GREATEST(tat, machine.now) + %(emission)s{used}
FROM (SELECT extract(epoch FROM recallops_machine_now())::float8 AS now) AS machine
WHERE id = %(row)s AND tat - machine.now <= %(ahead)s
RETURNING tat
"""

_USED = ", {used} = CASE WHEN {used} > %(now)s - interval '1 minute' THEN {used} ELSE %(now)s END"

_WAIT = """
SELECT tat - extract(epoch FROM recallops_machine_now())::float8 - %(ahead)s FROM {table} WHERE id = %(row)s
"""


def spend(model: type[Model], pk: int, *, per_minute: int, used: str = "") -> float:
    """Spend one request of a row, and note to the minute, in its column `used`, when that was; domain time.

    Returns 0.0, or the machine seconds until the next request may come.
    """
    emission = 60.0 / per_minute
    values: dict[str, Any] = {
        "row": pk,
        "emission": emission,
        "ahead": emission * (max(1, per_minute // 10) - 1),
        "now": clock.now(),
    }
    names = {"table": model._meta.db_table, "used": _USED.format(used=used) if used else ""}
    with connection.cursor() as cursor:
        cursor.execute(_SPEND.format(**names), values)
        if cursor.fetchone() is not None:
            return 0.0
        cursor.execute(_WAIT.format(**names), values)
        row = cursor.fetchone()
    return max(float(row[0]), 0.001) if row else 0.001
