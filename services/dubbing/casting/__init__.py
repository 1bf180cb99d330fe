"""Who speaks: voices chosen for speakers, and what engines that clone are shown of them."""
