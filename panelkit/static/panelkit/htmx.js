// htmx would write a <style> into the page, which the Content Security Policy forbids; nothing uses its indicators.
htmx.config.includeIndicatorStyles = false;
