"""The rules about leads and conversations. Each function is one transaction."""

from leads.services.contact import lead_approve, lead_reject
from leads.services.optout import opt_out
from leads.services.ownership import conversation_hand_back, conversation_take_over, operator_say
from leads.services.receiving import lead_receive, leads_receive
from leads.services.recording import message_record

__all__ = [
    "conversation_hand_back",
    "conversation_take_over",
    "lead_approve",
    "lead_receive",
    "lead_reject",
    "leads_receive",
    "message_record",
    "operator_say",
    "opt_out",
]
