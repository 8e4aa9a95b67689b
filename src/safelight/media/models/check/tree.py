"""Checks a glTF's nodes: an acyclic forest whose scene stays within the limits."""

from safelight.media.errors import MediaError, MediaTruncated
from safelight.media.models.check.document import Document, Primitive
from safelight.media.models.check.facts import ModelRules

_TRIANGLES, _STRIP, _FAN = 4, 5, 6


def roots(document: Document) -> list[int]:
    """Return the root nodes of the default scene; without scenes, all nodes without a parent."""
    if document.scenes:
        return document.scenes[document.scene or 0].nodes
    below = {child for node in document.nodes for child in node.children}
    return [index for index in range(len(document.nodes)) if index not in below]


def triangles_of(document: Document, primitive: Primitive) -> int:
    """Return how many triangles a primitive declares; points and lines have none."""
    if primitive.indices is not None:
        corners = document.accessors[primitive.indices].count
    else:
        corners = vertices_of(document, primitive)
    if primitive.mode == _TRIANGLES:
        return corners // 3
    return max(corners - 2, 0) if primitive.mode in {_STRIP, _FAN} else 0


def vertices_of(document: Document, primitive: Primitive) -> int:
    position = primitive.attributes.get("POSITION")
    return 0 if position is None else document.accessors[position].count


def shown(document: Document) -> list[int]:
    """Return the nodes of the scene, each after its parent."""
    found = list(roots(document))
    for index in found:  # grows while it is iterated
        found.extend(document.nodes[index].children)
    return found


def check_nodes(document: Document, rules: ModelRules) -> None:
    """Raise `MediaError` for a cycle, too deep a tree, or too much geometry."""
    _check_references(document)
    _check_depth(document, rules.max_depth)
    meshes = [document.nodes[index].mesh for index in shown(document)]
    everything = range(len(document.meshes))
    for chosen in (everything, [mesh for mesh in meshes if mesh is not None]):
        primitives = [part for mesh in chosen for part in document.meshes[mesh].primitives]
        if len(primitives) > rules.max_parts:
            raise MediaError(f"The 3D file has more than {rules.max_parts} parts.")
        for most, name, count in (
            (rules.max_triangles, "triangles", triangles_of),
            (rules.max_vertices, "vertices", vertices_of),
        ):
            total = sum(count(document, part) for part in primitives)
            if total > most:
                raise MediaError(f"{total} {name} are more than {most}.")


def _check_references(document: Document) -> None:
    nodes, skins, meshes = len(document.nodes), len(document.skins), len(document.meshes)
    places = [(child, nodes) for node in document.nodes for child in node.children]
    places += [(node.mesh, meshes) for node in document.nodes if node.mesh is not None]
    places += [(node.skin, skins) for node in document.nodes if node.skin is not None]
    places += [(root, nodes) for scene in document.scenes for root in scene.nodes]
    places += [(joint, nodes) for skin in document.skins for joint in skin.joints]
    if document.scenes:
        places.append((document.scene or 0, len(document.scenes)))
    if any(index >= there for index, there in places):
        raise MediaTruncated("The 3D file's nodes refer to what is not there.")
    children = [child for node in document.nodes for child in node.children]
    for once in (children, *(scene.nodes for scene in document.scenes)):
        if len(once) != len(set(once)):
            raise MediaTruncated("A node of the 3D file stands in two places.")
    if set(roots(document)) & set(children):
        raise MediaTruncated("A node of the 3D file stands in two places.")


def _check_depth(document: Document, most: int) -> None:
    """Descend from all nodes without a parent; nodes never reached form a cycle."""
    children = {child for node in document.nodes for child in node.children}
    level = [index for index in range(len(document.nodes)) if index not in children]
    reached = 0
    for _ in range(most):
        reached += len(level)
        level = [child for index in level for child in document.nodes[index].children]
    if level:
        raise MediaError(f"The 3D file's nodes are more than {most} deep.")
    if reached < len(document.nodes):
        raise MediaTruncated("The 3D file's nodes form a ring.")
