"""The demo: a simulated workspace moves from one region to another, on this machine, with proof.

`outside` decides what a call means, `place` knows the data folder, `children` and `guard` start and end processes,
`setting_up` fills the world and the rows, `conductor` runs the clock, `visitor` is a customer on their status
page, `display` shows, `proof` counts, and `run` does it all in order.
"""
