"""What runs unattended: deployments, the nightly run, the run monitor and the webhook."""
