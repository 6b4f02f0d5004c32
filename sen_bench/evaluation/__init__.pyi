from .horizon_scores import HorizonScores as HorizonScores
from .metrics import episode_norms as episode_norms
from .metrics import require_finite as require_finite
from .protocol import default_memory as default_memory
from .protocol import evaluate as evaluate
from .references import ReferenceScores as ReferenceScores
from .references import reference_scores as reference_scores
