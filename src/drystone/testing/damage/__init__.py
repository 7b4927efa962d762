"""Every kind of damage to dm-thin and dm-era metadata, made on purpose and told exactly.

    plan = plan_damage(THIN_KINDS["pointer-loop"], MemoryBlocks(image), seed=1)
    damaged = apply_damage(plan, image)

`fields` knows the offsets, `sites` what a block is and who points to it, `thin_sites` and `era_sites` walk a sound
image, `draft` keeps the changes, `table` has the kinds. The kinds themselves are functions in `blocks`, `nodes`,
`counts`, `thin_kinds` and `era_kinds`. Checksums are put right where the damage is meant to lie deeper.
"""
