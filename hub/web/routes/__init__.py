"""One file for each part of the console; ``hub.web.app`` joins them."""
