FROM python:3.11.13-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

RUN useradd --system --create-home --uid 10001 coolthing
WORKDIR /app

COPY requirements.txt .
RUN pip install -r requirements.txt

# The forms of words in the languages of keywords.
ENV WORDS_DIR=/usr/local/share/coolthing-words
COPY texts texts
RUN python -m texts.words

COPY . .
# The volumes of collected static files and of notifications take their owner from these folders.
RUN mkdir -p .run/static .run/notifications && chown -R coolthing:coolthing .run
USER coolthing
