"""Which tasks there are, who does them, and how titles and jobs come to their end."""
