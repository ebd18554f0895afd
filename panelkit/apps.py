from django.apps import AppConfig


class PanelKitConfig(AppConfig):
    name = "panelkit"
