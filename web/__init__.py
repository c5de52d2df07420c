"""The web role: pages, JSON API and live events on one HTTP port."""
