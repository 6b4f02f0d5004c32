from .protocol import TrackedRun as TrackedRun
from .protocol import Tracker as Tracker
from .registry import check_trackers as check_trackers
from .registry import tracker_names as tracker_names
from .tracking import Tracking as Tracking
from .tracking import TrackingSession as TrackingSession
