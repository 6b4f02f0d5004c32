from .limits import MachineLimits as MachineLimits
from .limits import measured_limits as measured_limits
from .step import StepCost as StepCost
from .step import gathering_cost as gathering_cost
from .step import step_cost as step_cost
