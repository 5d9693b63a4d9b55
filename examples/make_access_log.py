#!/usr/bin/env python3
"""Makes access.log: 2,000 lines of combined log format from a shop that does not exist. The same lines every time."""
import datetime
import sys

LINES = 2000
PATHS = [("/", 30), ("/cart", 9), ("/search?q=lamp", 6), ("/search?q=rug", 4), ("/product/lamp", 18),
         ("/product/rug", 11), ("/product/kettle", 8), ("/product/café-table", 5), ("/img/logo.svg", 25),
         ("/css/site.css", 22), ("/js/site.js", 20), ("/checkout", 3), ("/robots.txt", 2), ("/old-page", 2)]
AGENTS = ["Mozilla/5.0 (X11; Linux x86_64) Example/1.0", "Mozilla/5.0 (Phone) Example/2.3 \\\"beta\\\"",
          "examplebot/0.9 (+http://bot.example/)"]
HOSTS = [f"192.0.2.{n}" for n in range(1, 40)] + [f"2001:db8::{n:x}" for n in range(1, 20)]


class Numbers:
    """A linear congruential generator: the same numbers on every machine and version."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % n


def main():
    below = Numbers(20260101).below
    weighted = [path for path, weight in PATHS for _ in range(weight)]
    when = datetime.datetime(2026, 3, 2, 8, 0, tzinfo=datetime.timezone.utc)
    for _ in range(LINES):
        when += datetime.timedelta(seconds=below(20))
        path = weighted[below(len(weighted))]
        method = "POST" if path in ("/cart", "/checkout") else "GET"
        status = {"/old-page": 404}.get(path, 304 if below(8) == 0 else 200)
        size = "-" if status == 304 else str(200 + below(40_000))
        user = ["-", "-", "-", "ann", "bo"][below(5)]
        referer = ["-", "https://shop.example/", "https://search.example/?q=lamps"][below(3)]
        print(f'{HOSTS[below(len(HOSTS))]} - {user} [{when:%d/%b/%Y:%H:%M:%S +0000}] "{method} {path} HTTP/1.1" '
              f'{status} {size} "{referer}" "{AGENTS[below(3)]}"')


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    main()
