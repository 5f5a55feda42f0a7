document.querySelectorAll(".latents table").forEach(walkable);
