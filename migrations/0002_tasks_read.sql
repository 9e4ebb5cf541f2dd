-- Keeps the number for the reading side of the tasks API, which is written on a branch of its own.
SELECT 1;
