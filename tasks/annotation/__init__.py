"""The Prefect tasks that push crops to Label Studio, pull the annotations and report their statistics."""
