"""What the panel has beside the rooms' own pages: the sidebar, the dashboard, the health check."""
