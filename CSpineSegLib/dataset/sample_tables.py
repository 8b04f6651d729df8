"""The six tables of a made dataset, in the columns of the release."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from .. import files
from .sample_plan import PLANS, Plan

DATE = "20250321"
_ROOT = "1.2.826.0.1.3680043.10.474.593973"
_BUCKET = "s3://example-bucket/sample"
# Studies are counted from this number, and their UIDs with them.
_FIRST_STUDY = 9001

# The columns of each table, in their order.
_CASE = (
    "type submitter_id datasets age_at_index age_at_index_gt89 case_ids country_of_residence covid19_positive "
    "ethnicity gen3_linked_subjects_available icu_indicator index_event linked_external_data long_covid_diagnosis "
    "race sex site_id token_record_id ventilator_indicator treatment_info zip"
)
_STUDY = (
    "type submitter_id cases.submitter_id case_ids datasets.submitter_id age_at_imaging age_at_imaging_gt89 "
    "body_part_examined days_to_study image_data_modified study_description study_modality study_uid study_year "
    "study_year_shifted"
)
_SERIES = (
    "imaging_studies.submitter_id angio_flag case_ids contrast_bolus_agent diffusion_b_value "
    "diffusion_gradient_orientation echo_number echo_train_length echo_time image_type imaged_nucleus "
    "imager_pixel_spacing lossy_image_compression magnetic_field_strength mr_acquisition_type "
    "number_of_temporal_positions manufacturer manufacturer_model_name modality pixel_spacing series_description "
    "series_uid spatial_resolution repetition_time scan_options scanning_sequence sequence_name sequence_variant "
    "slice_thickness software_version spacing_between_slices type data_type data_format data_category submitter_id "
    "image_data_modification_method image_data_modification_name image_data_modified number_of_instances"
)
_ANNOTATION = (
    "type submitter_id annotation_name annotation_method case_ids imaging_studies.submitter_id "
    "mr_series_files.submitter_id data_category data_format data_type file_name file_size md5sum"
)
_MANIFEST = "md5sum acl storage_urls file_size case_ids study_uid series_uid modality file_name"
_CLINICAL = "file_name md5sum acl storage_urls file_size"


def write_all(
    folder: Path,
    exam_files: Mapping[str, Sequence[Path]],
    slices: Mapping[str, Sequence[bytes]],
    tiny: bool,
    plans: Sequence[Plan] = PLANS,
) -> list[Path]:
    """Write the tables into `folder`, `clinical_manifest` last, and return their paths.

    Parameters
    ----------
    exam_files : image and mask of each exam by stem; sizes and MD5 sums are those of the files.
    slices : the voxels of each slice by stem. The sample has no DICOM files, so the sizes and sums in `image_manifest`
        are those of the slices' voxels.
    tiny : whether the files are those of the tiny sample.
    plans : the exams.
    """
    paths = [
        _write(folder, "annotation_file", _ANNOTATION, _annotation_rows(exam_files, plans)),
        _write(folder, "case", _CASE, [_case_row(plan) for plan in _people(plans)]),
        _write(folder, "image_manifest", _MANIFEST, _slice_rows(slices, plans)),
        _write(folder, "imaging_study", _STUDY, [_study_row(plan) for plan in plans]),
        _write(folder, "mr_series", _SERIES, [_series_row(plan, tiny) for plan in plans]),
    ]
    rows = [
        {"file_name": path.name, "acl": "Open-R1", "storage_urls": f"{_BUCKET}/{path.name}", **_sums(path.read_bytes())}
        for path in paths
    ]
    return [*paths, _write(folder, "clinical_manifest", _CLINICAL, rows)]


def table_path(folder: Path, table: str) -> Path:
    return folder / f"{table}_RSNA_{DATE}.tsv"


def _write(folder: Path, table: str, header: str, rows: Iterable[dict[str, object]]) -> Path:
    columns = header.split()
    lines = ["\t".join(columns), *("\t".join(str(row.get(column, "")) for column in columns) for row in rows)]
    path = table_path(folder, table)
    files.write_verified(path, ("\n".join(lines) + "\n").encode("utf-8"))
    return path


def _people(plans: Sequence[Plan]) -> list[Plan]:
    """The first exam of each person."""
    return list({plan.person.patient_id: plan for plan in reversed(plans)}.values())[::-1]


def _uid(plan: Plan) -> Callable[[int], str]:
    """UIDs of an exam by number: 0 the study, 1 the series, from 2 the slices."""
    first = 900000 + 100 * (plan.name.study - _FIRST_STUDY)
    return lambda number: f"{_ROOT}.{first + number}"


def _age(plan: Plan) -> tuple[str, str]:
    age = plan.person.age
    return ("", "Yes") if age is None else (f"{age:.1f}", "No")


def _case_row(plan: Plan) -> dict[str, object]:
    person, (age, over) = plan.person, _age(plan)
    return {
        "type": "case",
        "submitter_id": person.patient_id,
        "age_at_index": age,
        "age_at_index_gt89": over,
        "case_ids": person.patient_id,
        "country_of_residence": "US",
        "covid19_positive": "Not Reported",
        "ethnicity": person.ethnicity,
        "icu_indicator": "False",
        "index_event": "Study Enrollment",
        "long_covid_diagnosis": "Not Reported",
        "race": person.race,
        "sex": person.sex,
        "site_id": person.patient_id.partition("-")[0],
        "ventilator_indicator": "False",
    }


def _study_row(plan: Plan) -> dict[str, object]:
    age, over = _age(plan)
    return {
        "type": "imaging_study",
        "submitter_id": _uid(plan)(0),
        "cases.submitter_id": plan.person.patient_id,
        "case_ids": plan.person.patient_id,
        "datasets.submitter_id": "CSpineSeg-sample",
        "age_at_imaging": age,
        "age_at_imaging_gt89": over,
        "body_part_examined": "CSPINE",
        "days_to_study": plan.days,
        "image_data_modified": "False",
        "study_description": "SYNTHETIC CERVICAL SPINE",
        "study_modality": "MR",
        "study_uid": _uid(plan)(0),
        "study_year": 2020,
        "study_year_shifted": "True",
    }


def _series_row(plan: Plan, tiny: bool) -> dict[str, object]:
    protocol, scanner, grid = plan.protocol, plan.scanner, plan.grid(tiny)
    across = grid.sagittal_axis
    siemens = scanner.manufacturer.lower() == "siemens"
    flat = protocol.kind == "2D"
    return {
        "imaging_studies.submitter_id": _uid(plan)(0),
        "angio_flag": "N",
        "case_ids": plan.person.patient_id,
        "echo_number": "1.0",
        "echo_train_length": 17,
        "echo_time": 101 if flat else 120,
        "image_type": "ORIGINAL_PRIMARY_M_NORM_DIS2D" if siemens else "ORIGINAL_PRIMARY_OTHER",
        "imaged_nucleus": "1H",
        "magnetic_field_strength": scanner.tesla,
        "mr_acquisition_type": protocol.kind,
        "manufacturer": scanner.manufacturer,
        "manufacturer_model_name": scanner.model,
        "modality": "MR",
        "pixel_spacing": f"{grid.spacing[1]:g}",
        "series_description": "SAG T2" if flat else "SAG T2 3D",
        "series_uid": _uid(plan)(1),
        "repetition_time": 2990 if flat else 1500,
        "scan_options": "PFP" if siemens else "FAST_GEMS",
        "scanning_sequence": "SE",
        "sequence_name": "*tse2d1_17" if siemens else "",
        "sequence_variant": "SK_SP_OSP" if siemens else "SK",
        "slice_thickness": 3 if flat else 1,
        "software_version": scanner.software,
        "spacing_between_slices": f"{grid.spacing[across]:g}" if flat else "",
        "type": "mr_series_file",
        "data_type": "DICOM",
        "data_format": "DCM",
        "data_category": "MR",
        "submitter_id": _uid(plan)(1),
        "image_data_modified": "False",
        "number_of_instances": grid.shape[across],
    }


def _annotation_rows(
    exam_files: Mapping[str, Sequence[Path]], plans: Sequence[Plan]
) -> Iterable[dict[str, object]]:
    for plan in plans:
        for path in exam_files[plan.name.stem]:
            yield {
                "type": "annotation_file",
                "submitter_id": path.name.removesuffix(".nii.gz"),
                "annotation_name": "cspineseg-sample",
                "annotation_method": "Retrospective_auto",
                "case_ids": plan.person.patient_id,
                "imaging_studies.submitter_id": _uid(plan)(0),
                "mr_series_files.submitter_id": _uid(plan)(1),
                "data_category": "annotation_file",
                "data_format": "NII",
                "data_type": "External Annotation",
                "file_name": path.name,
                **_sums(path.read_bytes()),
            }


def _slice_rows(slices: Mapping[str, Sequence[bytes]], plans: Sequence[Plan]) -> Iterable[dict[str, object]]:
    for plan in plans:
        uid = _uid(plan)
        for number, voxels in enumerate(slices[plan.name.stem]):
            name = f"{plan.person.patient_id}/{uid(0)}/{uid(1)}/{uid(2 + number)}.dcm"
            yield {
                "acl": "Open-R1",
                "storage_urls": f"{_BUCKET}/data/{name}",
                "case_ids": plan.person.patient_id,
                "study_uid": uid(0),
                "series_uid": uid(1),
                "modality": "MR",
                "file_name": name,
                **_sums(voxels),
            }


def _sums(data: bytes) -> dict[str, object]:
    return {"file_size": len(data), "md5sum": hashlib.md5(data, usedforsecurity=False).hexdigest()}
