from .contact_sheet import save_view as save_view
from .run_figures import DECODER_EPOCHS as DECODER_EPOCHS
from .run_figures import DECODER_FRAMES as DECODER_FRAMES
from .run_figures import decode as decode
from .run_figures import draw_figures as draw_figures
from .style import FORMATS as FORMATS
from .style import Format as Format
