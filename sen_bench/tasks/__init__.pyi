from .registry import get_task as get_task
from .registry import reference_model as reference_model
from .registry import task_names as task_names
from .task import DEFAULT_DATA_SEED as DEFAULT_DATA_SEED
from .task import Split as Split
from .task import Task as Task
