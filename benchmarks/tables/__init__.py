"""Tables of papers: specification, plan, analysis, rendering."""
