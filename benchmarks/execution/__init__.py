"""Who does the runs of a table: processes here, or jobs of SLURM."""
