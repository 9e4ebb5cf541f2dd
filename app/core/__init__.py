"""Pure thought: the rules of Headway without I/O, clock or framework."""
