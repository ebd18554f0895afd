"""The panel's pages beside the rooms' own: sidebar, dashboard, queues, traces, health check."""
