from .fetching import FetchResult as FetchResult
from .fetching import fetch as fetch
