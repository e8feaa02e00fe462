"""The live page under /__admin/ui.

feed    what the page shows, as events: a snapshot, then changes
page    serves the page and its event streams
ui/     the page itself: HTML, CSS, JavaScript
"""
