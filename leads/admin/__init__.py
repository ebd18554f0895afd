"""The pages of this room. Django finds them here."""

from leads.admin import conversations, leads, llm_jobs, managers, messages, related

__all__ = ["conversations", "leads", "llm_jobs", "managers", "messages", "related"]
