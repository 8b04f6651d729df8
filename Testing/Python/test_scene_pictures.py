"""Pictures, checked by their pixels: the right way up, in proportion, coloured where the mask is."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scene_helpers import ORIENTATIONS, affine

from CSpineSegLib import anatomy, scene, volume
from CSpineSegLib.errors import CSpineSegError, InputError
from CSpineSegLib.scene import rendering
from CSpineSegLib.scene.pictures import surfaces_of

HEIGHT = 300


@pytest.fixture(scope="module")
def context():
    return scene.Context.create()


def exam(context, grid=None, mask=True):
    """A bright bar at the front, half as high as the image, at its top; discs in it, bodies low at the back."""
    shape = (40, 50, 9)
    reference = volume.from_array(np.zeros(shape, np.uint8), np.diag([-1.0, 1.0, 4.0, 1.0])[[2, 0, 1, 3]])
    assert reference.orientation == "PSR"
    grey = np.zeros(shape, np.int16)
    grey[4:10, 25:] = 1000
    labels = np.zeros(shape, np.uint8)
    labels[4:10, 32:40, 3:6] = anatomy.DISC
    labels[28:36, 5:12, 3:6] = anatomy.BODY
    source, drawn = (volume.from_array(array, reference.affine) for array in (grey, labels))
    if grid is not None:
        codes = volume.from_array(np.zeros((2, 2, 2), np.uint8), grid).orientation
        source, drawn = volume.reorient(source, codes), volume.reorient(drawn, codes)
    case = scene.load_case(context, source, drawn if mask else None, name="exam", patient_id="1")
    return case


def pixels(path):
    from vtkmodules.util import numpy_support
    from vtkmodules.vtkIOImage import vtkPNGReader

    reader = vtkPNGReader()
    reader.SetFileName(str(path))
    reader.Update()
    width, height, _ = reader.GetOutput().GetDimensions()
    flat = numpy_support.vtk_to_numpy(reader.GetOutput().GetPointData().GetScalars())
    return flat.reshape(height, width, -1)[::-1, :, :3].astype(int)


def place(picture, x, y):
    """The pixel at a fraction of the width from the left and of the height from the top."""
    return picture[int(y * picture.shape[0]), int(x * picture.shape[1])]


def is_red(pixel):
    return pixel[0] > 1.5 * pixel[1] and pixel[0] > 40


def is_green(pixel):
    return pixel[1] > 1.1 * pixel[0] and pixel[1] > 40


@pytest.mark.parametrize(
    "grid", [None] + [affine(*ORIENTATIONS[number]) for number in (0, 7, 13, 22, 29, 35, 47)], ids=str
)
def test_superior_is_up_and_anterior_left_whatever_the_voxel_order(context, tmp_path, grid):
    case = exam(context, grid)
    path = scene.slice_picture(context, case, tmp_path / "slice é.png", height=HEIGHT)
    picture = pixels(path)
    scene.close_case(context, case)
    assert picture.shape == (HEIGHT, round(HEIGHT * 40 / 50), 3)
    assert place(picture, 7 / 40, 0.46).min() > 200
    assert place(picture, 7 / 40, 0.56).max() < 30
    assert place(picture, 33 / 40, 0.25).max() < 30
    assert is_green(place(picture, 7 / 40, 1 - 36 / 50))
    assert is_red(place(picture, 32 / 40, 1 - 8.5 / 50))


def test_pixels_are_as_tall_as_wide_in_millimetres(context, tmp_path):
    grid = np.diag([2.0, 3.0, 0.5, 1.0])
    shape = (9, 20, 160)
    case = scene.load_case(context, volume.from_array(np.ones(shape, np.int16), grid), name="exam", patient_id="1")
    picture = pixels(scene.slice_picture(context, case, tmp_path / "slice.png", height=400))
    assert picture.shape == (400, round(400 * 20 * 3.0 / (160 * 0.5)), 3)


def test_another_slice_can_be_asked_for_and_one_that_is_not_there_is_refused(context, tmp_path):
    case = exam(context)
    empty = pixels(scene.slice_picture(context, case, tmp_path / "0.png", slice_index=0, height=HEIGHT))
    assert not is_red(place(empty, 32 / 40, 1 - 8.5 / 50))
    with pytest.raises(InputError, match="There is no slice 9; the image has sagittal slices 0 to 8"):
        scene.slice_picture(context, case, tmp_path / "9.png", slice_index=9)
    assert not (tmp_path / "9.png").exists()


def test_the_picture_shows_the_edit_and_not_the_mask_that_was_loaded(context, tmp_path):
    case = exam(context, mask=False)
    before = pixels(scene.slice_picture(context, case, tmp_path / "before.png", height=HEIGHT))
    voxels = np.zeros(case.image.shape, bool)
    voxels[15:25, 20:30] = True
    scene.Editor(context, case).paint_voxels("bodies", voxels)
    after = pixels(scene.slice_picture(context, case, tmp_path / "after.png", height=HEIGHT))
    assert not is_red(place(before, 0.5, 0.5)) and is_red(place(after, 0.5, 0.5))


def test_surfaces_are_closed_smooth_and_where_the_mask_is(context):
    from vtkmodules.vtkFiltersCore import vtkFeatureEdges

    case = exam(context)
    surfaces = surfaces_of(case.segmentation_node)
    assert set(surfaces) == {"bodies", "discs"}
    corners = {"bodies": ((28, 5, 3), (36, 12, 6)), "discs": ((4, 32, 3), (10, 40, 6))}
    for key, surface in surfaces.items():
        ends = [
            case.image.affine[:3, :3] @ (np.array(corner) - 0.5) + case.image.affine[:3, 3] for corner in corners[key]
        ]
        bounds = np.array(surface.GetBounds()).reshape(3, 2)
        # Smoothing may move the surface by up to half a voxel, which is 2 mm across slices.
        apart = np.abs(bounds - np.sort(np.transpose(ends), axis=1)).max(axis=1)
        assert (apart <= (2.0, 0.5, 0.5)).all()
        edges = vtkFeatureEdges()
        edges.SetInputData(surface)
        edges.FeatureEdgesOff()
        edges.ManifoldEdgesOff()
        edges.Update()
        assert edges.GetOutput().GetNumberOfCells() == 0
    assert not case.segmentation_node.GetSegmentation().ContainsRepresentation("Closed surface")


def test_the_surface_picture_has_discs_above_bodies_and_anterior_left(context, tmp_path):
    picture = pixels(scene.surface_picture(context, exam(context), tmp_path / "surface.png", height=HEIGHT))
    red, green = picture[:, :, 0] > 90 + picture[:, :, 1], picture[:, :, 1] > 40 + picture[:, :, 0]
    assert red.sum() > 300 and green.sum() > 300
    (red_row, red_column), (green_row, green_column) = (np.argwhere(where).mean(axis=0) for where in (red, green))
    assert green_row < red_row and green_column < red_column


def test_an_empty_mask_has_pictures_too(context, tmp_path):
    case = exam(context, mask=False)
    both = pixels(scene.picture(context, case, tmp_path / "both.png", height=HEIGHT))
    assert both.shape == (HEIGHT, 240 + 210, 3)
    assert both[:, 240:].max() > 200


def test_without_opengl_it_is_said_what_to_install_and_the_process_lives(context, tmp_path, monkeypatch):
    if sys.platform != "linux":
        pytest.skip("the trial in another process is for Linux, the others always have OpenGL")
    # The last resort of VTK, a library that is rarely installed: asking for it is like a machine without EGL.
    monkeypatch.setenv("VTK_DEFAULT_OPENGL_WINDOW", "vtkOSOpenGLRenderWindow")
    try:
        scene.picture(context, exam(context), tmp_path / "both.png", height=HEIGHT)
    except CSpineSegError as error:
        assert "apt-get install libegl1 libgl1 libgl1-mesa-dri" in str(error)
        assert not list(tmp_path.iterdir())
    else:
        pytest.skip("OSMesa is installed here, so that even the last resort renders")


def test_png_bytes_are_the_pixels_that_were_given(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (7, 5, 3)).astype(np.uint8)
    (tmp_path / "noise.png").write_bytes(rendering.png(rgb))
    np.testing.assert_array_equal(pixels(tmp_path / "noise.png"), rgb)


def test_the_real_exam_with_an_edit_has_a_picture(context, real_t2, tmp_path):
    source = volume.read(real_t2)
    case = scene.load_case(context, source, name=real_t2.name.split(".")[0], patient_id="1")
    editor = scene.Editor(context, case)
    centre = source.affine[:3, :3] @ [160, 170, 6] + source.affine[:3, 3]
    editor.paint_sphere("bodies", centre, 9.0)
    editor.paint_sphere("discs", np.add(centre, (0, 0, -11)), 5.0)
    picture = pixels(scene.picture(context, case, tmp_path / "both.png"))
    assert picture.shape == (900, 900 + 630, 3)
    assert is_red(place(picture[:, :900], 160 / 320, 1 - 170 / 320))
