from .fetching import FetchResult as FetchResult
from .fetching import fetch as fetch
from .information import PublicationInfo as PublicationInfo
from .publication import Publication as Publication
from .publication import make_publication as make_publication
from .publication import publish as publish
