from .choices import DECODER_EPOCHS as DECODER_EPOCHS
from .choices import DECODER_FRAMES as DECODER_FRAMES
from .choices import DEFAULT_FORMATS as DEFAULT_FORMATS
from .choices import FORMATS as FORMATS
from .choices import Format as Format
from .contact_sheet import save_view as save_view
from .run_figures import decode as decode
from .run_figures import draw_figures as draw_figures
