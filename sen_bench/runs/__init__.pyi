from .run import Run as Run
from .workspace import Folders as Folders
from .workspace import dataset_path as dataset_path
