from .run import Run as Run
from .workspace import Workspace as Workspace
from .workspace import dataset_path as dataset_path
