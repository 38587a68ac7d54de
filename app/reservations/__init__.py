"""Floor 5: reservations, groups and moves as callers see them; `app.booking` writes them."""
