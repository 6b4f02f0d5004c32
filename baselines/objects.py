"""World models of grid worlds, whose latents are factored into objects."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor, nn

from sen_bench.baselines.hidden_layers import hidden_layer
from sen_bench.baselines.interaction import C4_EQUIVARIANT, ORDINARY, InteractionNetwork, LinearFamily
from sen_bench.baselines.kinds import BLOCKS_3D, KINDS, ObjectSpaces
from sen_bench.baselines.latents import from_regular, signed, to_regular, turn_table
from sen_bench.baselines.layers import fibre_stack, orbit_count, orbit_stack
from sen_bench.baselines.model import SIGMA, WorldModel, apply_in_full_precision
from sen_bench.baselines.object_embeddings import build_object_embedding
from sen_bench.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    import numpy as np

    from sen_bench.symmetry import Symmetry


class ObjectEncoder(nn.Module):
    """The encoder E: linear-ReLU-linear-LayerNorm-ReLU-linear, for each object by itself (paper, section 3).

    Args:
        family: The kind of linear layers: `ORDINARY` or `C4_EQUIVARIANT`.
        in_channels: Channels of an object's features.
        latent_channels: Channels of an object's latent.
        hidden: Width of the hidden layers.
    """

    def __init__(self, family: LinearFamily, *, in_channels: int, latent_channels: int, hidden: int) -> None:
        super().__init__()
        self.first = family.layer(in_channels, hidden)
        self.second = family.layer(hidden, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.last = family.layer(hidden, latent_channels)

    def forward(self, features: Tensor) -> Tensor:
        """Maps `[B, O, ..., in_channels]` to latents `[B, O, ..., latent_channels]`, at least float32."""
        hidden = hidden_layer(self.first(features), self.second, self.norm)
        return apply_in_full_precision(self.last, hidden)


class ObjectModel(WorldModel):
    """A world model with maps for each object in v and one latent per object in z.

    Embeddings are maps in (0, 1): `[B, O, n, n]`, which the group turns, permuting the objects; or, if they
    are regular, `[B, O, 4, n, n]`, where a turn also rolls axis 2; with F masked fields maps in (-1, 1),
    `[B, O, F, 4, n, n]`, where it rolls axis 3. Latents are `[B, O, 4, C]` for equivariant
    models, on which the group rolls axis 2 and permutes the objects, or `[B, O, 2·s + 4·C]` with vectors of
    the plane among them, see `latents`; those of other models are `[B, O, C]`. Actions are int64
    `[B]`, numbered 4·object + move. Where turns move them, they enter T of equivariant models as one
    C4-regular channel, otherwise as four invariant ones.

    Args:
        embedding: S, images `[B, C, H, W]` to maps `[B, O, n, n]` or, if regular, `[B, 4·O, n, n]`; with
            masked fields a `MaskedEmbedding`.
        symmetry: The symmetry of the world, C4 × S_O.
        spaces: The spaces of maps and latents.
        side: n, height and width of the maps.
        equivariant: Whether E and T are C4-equivariant.
        hidden: Width of the hidden layers of E and T.

    Raises:
        ConfigError: The symmetry is not one of a grid world.
    """

    def __init__(
        self,
        embedding: nn.Module,
        *,
        symmetry: Symmetry,
        spaces: ObjectSpaces,
        side: int,
        equivariant: bool,
        hidden: int,
    ) -> None:
        directions = _permutation(symmetry, "direction")
        objects = _permutation(symmetry, "object")
        num_objects = objects.shape[1]
        fields = spaces.masked_fields
        fibre = (fields, 4) if fields else (4,) if spaces.regular_maps else ()
        standard, regular = spaces.standard_latents, spaces.regular_latents
        of_object: tuple[int, ...] = (spaces.plain_latents,)
        if equivariant:
            of_object = (2 * standard + 4 * regular,) if standard else (4, regular)
        channels = standard + regular if equivariant else spaces.plain_latents
        super().__init__(
            embedding_shape=(num_objects, *fibre, side, side),
            latent_shape=(num_objects, *of_object),
            equivariant=equivariant,
        )
        self._standard_latents = standard if equivariant else 0
        self._regular_maps = spaces.regular_maps
        self._masked_fields = fields
        self._regular_actions = _turns_move_actions(symmetry)
        family = C4_EQUIVARIANT if equivariant else ORDINARY
        if equivariant:
            in_channels = max(fields, 1) * side * side if spaces.regular_maps else orbit_count(side)
        else:
            in_channels = math.prod(self.embedding_shape[1:])
        self.embedding = embedding
        self.encoder = ObjectEncoder(family, in_channels=in_channels, latent_channels=channels, hidden=hidden)
        self.network = InteractionNetwork(
            family,
            latent_channels=channels,
            action_channels=1 if equivariant and self._regular_actions else 4,
            hidden=hidden,
        )
        # A turn by k quarters moves direction 0 to direction -k.
        self._add_table("_turns", (-directions[:, 0]) % 4)
        self._add_table("_object_source", objects.argsort(dim=1))
        places = torch.arange(math.prod(self.embedding_shape[1:])).view(*fibre, side, side)
        turned = [torch.rot90(places, turns, (-2, -1)) for turns in range(4)]
        if spaces.regular_maps:
            turned = [maps.roll(-turns, dims=-3) for turns, maps in enumerate(turned)]
        self._add_table("_map_source", torch.stack(turned).flatten(1))
        steps = torch.arange(4)
        self._add_table("_fibre_source", (steps[None, :] + steps[:, None]) % 4)
        self._add_table("_latent_source", turn_table(standard=standard, regular=regular))

    def _add_table(self, name: str, table: Tensor) -> None:
        """Keeps a table of the group's action on the model's device, but out of its checkpoints."""
        self.register_buffer(name, table, persistent=False)

    def embed(self, observation: Tensor) -> Tensor:
        """Images `[B, C, H, W]` to maps; see `WorldModel.embed`."""
        maps: Tensor = self.embedding(observation)
        return maps.reshape(-1, *self.embedding_shape)

    def encode(self, embedding: Tensor) -> Tensor:
        """Maps to latents; see `WorldModel.encode`."""
        if not self.equivariant:
            features = embedding.flatten(2)
        elif self._regular_maps:
            features = fibre_stack(embedding)
            if self._masked_fields:
                features = features.transpose(2, 3).flatten(3)
        else:
            features = orbit_stack(embedding)
        latent: Tensor = self.encoder(features)
        return from_regular(latent, standard=self._standard_latents) if self._standard_latents else latent

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        """Latents and actions int64 `[B]` to next latents; see `WorldModel.transition`."""
        num_objects = self.latent_shape[0]
        one_hot = nn.functional.one_hot(action, 4 * num_objects).to(latent.dtype)
        moves = one_hot.view(-1, num_objects, 4)
        if self.equivariant:
            moves = moves[..., None] if self._regular_actions else moves[:, :, None].expand(-1, -1, 4, -1)
        if not self._standard_latents:
            return latent + cast("Tensor", self.network(latent, moves))
        change: Tensor = self.network(to_regular(latent, standard=self._standard_latents), moves)
        return latent + from_regular(change, standard=self._standard_latents)

    def transitions(self, latent: Tensor, actions: Tensor) -> Tensor:
        """T for actions int64 `[B, A]`; see `WorldModel.transitions`.

        The messages between the objects do not depend on the action, and the objects that do not act change
        alike whichever does: both are computed once.
        """
        standard, network = self._standard_latents, self.network
        features = to_regular(latent, standard=standard) if standard else latent
        messages = network.messages(features)
        acting, moves = actions // 4, nn.functional.one_hot(actions % 4, 4).to(latent.dtype)
        if self.equivariant:
            moves = moves[..., None] if self._regular_actions else moves[:, :, None].expand(-1, -1, 4, -1)
        none = torch.zeros_like(moves[:, :1]).expand(*features.shape[:-1], moves.shape[-1])
        still = network.nodes(features, messages, none)
        sample = torch.arange(len(latent), device=latent.device)[:, None]
        change = still[:, None].repeat(1, actions.shape[1], *(1 for _ in still.shape[1:]))
        each = torch.arange(actions.shape[1], device=latent.device)
        change[sample, each, acting] = network.nodes(
            features[sample, acting], messages[sample, acting], moves
        )
        if standard:
            change = from_regular(change, standard=standard)
        return latent[:, None] + change

    def distance(self, latent: Tensor, other: Tensor) -> Tensor:
        """0.5/σ² times the squared distance, summed over features and averaged over objects, `[B]`."""
        return self.object_distances(latent, other).mean(dim=1)

    @property
    def factored_latents(self) -> bool:
        """Latents have an axis of objects."""
        return True

    def object_distances(self, latent: Tensor, other: Tensor) -> Tensor:
        """0.5/σ² times the squared distance of each object, `[B, O]`; see `WorldModel.object_distances`."""
        return 0.5 / SIGMA**2 * (latent - other).square().flatten(2).sum(dim=2)

    @property
    def acting_objects(self) -> bool:
        """An action moves one of the objects."""
        return True

    def bystander_distance(self, latent: Tensor, other: Tensor, action: Tensor) -> Tensor:
        """The part of `distance` of all objects but the one that acts, `[B]`; see `WorldModel`."""
        energies = self.object_distances(latent, other)
        acting = nn.functional.one_hot(action // 4, energies.shape[1]).to(energies.dtype)
        return (energies * (1 - acting)).mean(dim=1)

    def transform_embedding(self, elements: Tensor, embedding: Tensor) -> Tensor:
        """Turns, rolls and permutes maps; see `WorldModel.transform_embedding`."""
        return self._transform(elements, embedding.flatten(2), "_map_source").view(embedding.shape)

    def transform_latent(self, elements: Tensor, latent: Tensor) -> Tensor:
        """Turns vectors, rolls regular features and permutes objects; see `WorldModel.transform_latent`."""
        if not self.equivariant:
            return super().transform_latent(elements, latent)
        if self._standard_latents:
            numbers = signed(latent, standard=self._standard_latents)
            return self._transform(elements, numbers, "_latent_source")
        return self._transform(elements, latent, "_fibre_source")

    def _transform(self, elements: Tensor, x: Tensor, table: str) -> Tensor:
        """Moves `[B, O, n, ...]` along the objects, and along axis 2 by the table of the turns."""
        elements = elements.to(x.device)
        sample = torch.arange(len(x), device=x.device)[:, None, None]
        objects = self.get_buffer("_object_source")[elements][:, :, None]
        places = self.get_buffer(table)[self.get_buffer("_turns")[elements]][:, None, :]
        return x[sample, objects, places]


class FullObjectModel(ObjectModel):
    """An object model whose S commutes with quarter turns of the image: `full`."""

    @property
    def image_equivariance(self) -> Literal["exact"]:
        """Exact: convolutions have stride 1, or patches that tile the image."""
        return "exact"

    def transform_observation(self, elements: Tensor, observation: Tensor) -> Tensor:
        """Turns images by quarters; see `WorldModel.transform_observation`."""
        turns = self.get_buffer("_turns")[elements.to(observation.device)].tolist()
        pairs = zip(observation, turns, strict=True)
        return torch.stack([torch.rot90(image, quarters, (-2, -1)) for image, quarters in pairs])


def _permutation(symmetry: Symmetry, name: str) -> Tensor:
    """The permutations of one representation as int64 `[element, index]`.

    Raises:
        ConfigError: The symmetry has no such representation, or it does not act by permutations.
    """
    representation = symmetry.representations.get(name)
    if representation is None or representation.permutation is None:
        raise ConfigError(
            f"object models need a symmetry with a permutation representation {name!r}; "
            f"this one has {', '.join(sorted(symmetry.representations)) or 'none'}"
        )
    table: np.ndarray = representation.permutation
    return torch.from_numpy(table.copy())


def _turns_move_actions(symmetry: Symmetry) -> bool:
    """Whether turns take actions 4·object + move to others (moves are directions), or leave them alone.

    Raises:
        ConfigError: The symmetry acts on actions in neither way, or does not permute them.
    """
    actions, objects, directions = (
        _permutation(symmetry, name) for name in ("action", "object", "direction")
    )
    for moves in (directions, torch.arange(4).expand_as(directions)):
        if torch.equal(actions, (4 * objects[:, :, None] + moves[:, None, :]).flatten(1)):
            return moves is directions
    raise ConfigError(
        "object models need actions 4·object + move, where turns of the world turn all moves of an object"
        " or none of them"
    )


def build_object_model(
    kind: str,
    *,
    symmetry: Symmetry,
    observation_shape: tuple[int, int, int],
    spaces: ObjectSpaces = BLOCKS_3D,
    embedding_channels: int | None = None,
    hidden: int | None = None,
    standard_latents: int | None = None,
    regular_latents: int | None = None,
    plain_latents: int | None = None,
    masked_fields: int | None = None,
) -> ObjectModel:
    """Makes a model of a grid world with randomly initialised weights.

    At the paper's sizes, `sen`, `full` and `none` have 1,986,345, 1,978,521 and 2,625,577 parameters for 3D
    Blocks; 1,337,223, 1,329,415 and 1,347,209 for 2D Shapes; 1,364,344, 1,356,281 and 1,391,228 for Rush
    Hour. Convolutions are initialised as `convolutions` and `steerable` say, linear layers as `nn.Linear`
    does.

    Args:
        kind: "sen", "full" or "none".
        symmetry: The symmetry of the world, with representations "direction", "object" and "action".
        observation_shape: Height, width and channels of an observation.
        spaces: The spaces of maps and latents: `BLOCKS_3D`, `SHAPES_2D`, `RUSH_HOUR` or your own.
        embedding_channels: Width of the hidden layers of S: channels for `sen` and `none` (paper: 32),
            C4-regular fields of 4 channels each for `full` (16: the paper's for 3D Blocks, [ours] elsewhere).
        hidden: Width of the hidden layers of E and T: C4-regular channels for `sen` and `full` (paper: 256),
            ordinary ones for `none` (paper: 512).
        standard_latents: Vectors of the plane in an object's latent, for `sen` and `full`; None: as `spaces`
            says, as for those that follow. In the paper's Rush Hour, one of these and one regular channel.
        regular_latents: C4-regular channels in an object's latent, for `sen` and `full`.
        plain_latents: Numbers in an object's latent, for `none`.
        masked_fields: C4 fibres of maps of each object, by a mask of its own from codes that all share
            [ours]; see `MaskedEmbedding`. 0: each object has maps of its own, as in the paper. Only where
            `spaces` has regular maps.

    Returns:
        The model, in training mode.

    Raises:
        UnknownNameError: There is no such kind.
        ConfigError: The images are not square or not made of whole patches, a width is not positive, latents
            or fields are given that this kind of model does not have, or the symmetry is not one of a grid
            world.
    """
    if kind not in KINDS:
        raise UnknownNameError("kind of object model", kind, KINDS)
    height, width, image_channels = observation_shape
    if height != width:
        raise ConfigError(f"object models need square images, not {height}x{width}")
    if height % spaces.patch:
        raise ConfigError(f"images of side {height} cannot be cut into patches of side {spaces.patch}")
    equivariant = kind != "none"
    embedding_channels = (16 if kind == "full" else 32) if embedding_channels is None else embedding_channels
    hidden = (256 if equivariant else 512) if hidden is None else hidden
    for name, size in (("embedding_channels", embedding_channels), ("hidden", hidden)):
        if size < 1:
            raise ConfigError(f"{name} must be at least 1, not {size}")
    spaces = spaces.with_latents(
        kind, standard=standard_latents, regular=regular_latents, plain=plain_latents
    )
    if masked_fields is not None:
        spaces = spaces.with_fields(masked_fields)
    embedding = build_object_embedding(
        kind,
        spaces,
        image_channels=image_channels,
        num_objects=_permutation(symmetry, "object").shape[1],
        width=embedding_channels,
    )
    family = FullObjectModel if kind == "full" else ObjectModel
    return family(
        embedding,
        symmetry=symmetry,
        spaces=spaces,
        side=height // spaces.patch,
        equivariant=equivariant,
        hidden=hidden,
    )
