"""The panel's pages that belong to no other room: sidebar, dashboard, queues, traces, health check."""
