"""The template process: `python -m bulkcert.opening`. Only `template.Template` starts it."""

from bulkcert.opening.forking import run
from bulkcert.opening.serving import serve

if __name__ == "__main__":
    run(serve)
