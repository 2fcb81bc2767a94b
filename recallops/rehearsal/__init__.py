"""The rehearsal: the plan of a batch, played against simulated regions, in minutes, before anything is written.

Two processes. The *keeper* (`manage.py rehearse`, started by the workers) has the real rows: `copying` makes a document
of the inventory in which `pseudonyms` stand for everything that names somebody, `keeping` makes a schema, starts the
player, keeps the row up to date, and drops the schema at the end. The *player* (`manage.py play_rehearsal`) has the
document and the empty schema, keys of its own that open nothing, and no network: `world` fills the sandbox, `rows` the
tables, `play` runs the engine on `hands` (virtual time), `result` counts what came of it.
"""
