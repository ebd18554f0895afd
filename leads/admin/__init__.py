"""The admin pages of leads and conversations. Django imports this module to find them."""

from leads.admin import conversations, leads, llm_jobs, managers, messages, related

__all__ = ["conversations", "leads", "llm_jobs", "managers", "messages", "related"]
