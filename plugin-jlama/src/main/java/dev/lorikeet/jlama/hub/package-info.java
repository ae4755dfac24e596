/**
 * Names of the form {@code owner/name} for models and adapters: where they lie on this machine, in
 * Jlama's folder or Hugging Face's cache, and how they come here from the hub. {@link
 * dev.lorikeet.jlama.hub.ModelFolders} looks, {@link dev.lorikeet.jlama.hub.Hub} downloads.
 */
@NullMarked
package dev.lorikeet.jlama.hub;

import org.jspecify.annotations.NullMarked;
