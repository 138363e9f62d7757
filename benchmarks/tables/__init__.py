"""Paper tables: specifications (data), plan and rendering."""
