"""The only room that speaks SQL: one function per query, connection in, Struct out, no decisions."""
